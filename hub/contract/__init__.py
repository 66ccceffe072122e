"""What we promise outward: the committed OpenAPI document and SDL, and what may change in them."""
