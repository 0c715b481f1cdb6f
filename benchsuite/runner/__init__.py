"""Running a scenario: stages and their keys, the plan, killable worker processes, and the run folder."""
