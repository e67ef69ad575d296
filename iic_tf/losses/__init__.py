"""The objective as pure functions: joints, mutual information, maps moved back."""
