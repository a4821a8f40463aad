"""What an eval may expect of a run: one kind a class, one theme a file.

base        what all kinds share: look at a run, say what was seen, in a sentence
values      what a value must be: equal, matching, one of, in a range, fitting a JSON Schema
tools       calls that are made or not, their order and number
changes     calls that change state, compared as sets
answer      what the answer says; refusal and language are in files of their own
behaviour   how the run went: finished, without errors, within limits; consent in a file of its own
judged      what only a language model can tell, once it is known to agree with people
composite   all, any and not; and `Expectation`, any of all these

All of it is pure: a judge is asked elsewhere, and its opinion given in with the run.
"""
