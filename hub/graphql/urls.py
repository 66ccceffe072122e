"""The addresses of the GraphQL API."""

from django.urls import path

from hub.graphql import views

urlpatterns = [
    path("graphql", views.graphql, name="graphql"),
    path("graphql/schema", views.sdl, name="graphql-schema"),
]
