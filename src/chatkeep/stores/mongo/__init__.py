"""The store on MongoDB, a module for each concern."""
