"""How well a served support model understands and answers, on held-out sets."""
