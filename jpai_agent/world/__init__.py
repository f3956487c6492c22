"""What the robot believes and knows: its scene, its own state, the map it was given and its robot file. Types, no algorithms."""
