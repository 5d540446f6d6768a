"""Who is asking, from where and how often, and what a refusal leaves behind."""
