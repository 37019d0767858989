"""The EM program: passes, methods, starts, and the search for the best local maximum."""
