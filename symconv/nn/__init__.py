"""Layers, training, schedules, metrics, checkpoints."""
