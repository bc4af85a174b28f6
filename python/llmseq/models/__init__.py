"""Recommenders behind one Protocol; `llmseq.models.catalog` lists them."""
