"""SASRec and its text-initialised twin, trained without padding."""
