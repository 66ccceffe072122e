"""The top floor: who reads and who may."""
