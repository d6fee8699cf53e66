"""Graph rewriting: specialisation to concrete shapes, then the passes of pipeline.py in order."""
