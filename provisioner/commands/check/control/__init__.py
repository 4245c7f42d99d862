"""Controls of silences that are expected: was it isolation, or only silence."""
