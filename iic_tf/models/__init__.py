"""Networks: blocks, lists of tokens, banks of sub-heads, a backbone with its banks."""
