"""Weight fractions from refined amounts, and crystallite size from refined profiles."""
