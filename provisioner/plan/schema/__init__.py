"""The JSON Schema of plan files, made from the models."""
