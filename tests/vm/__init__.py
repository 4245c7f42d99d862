import pytest

pytest.register_assert_rewrite("vm.lab", "vm.running")
