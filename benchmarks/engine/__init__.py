"""How close the engine comes to its matrix products, beside other ways to run the same model."""
