"""LLMSeqPrompt: a language model that recommends items by their titles."""
