"""What all tests have in common."""

import pytest

# Their asserts show what they compared, as those of the tests themselves do.
pytest.register_assert_rewrite("tests.framework")
