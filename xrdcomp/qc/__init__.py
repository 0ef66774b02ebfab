"""Quality control: policies over results, and the history of an instrument's check standards."""
