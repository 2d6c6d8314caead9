"""A model of the engine's states, and a machine that takes the same steps in it and in the engine."""
