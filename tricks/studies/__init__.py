"""The course's studies: arms, questions, and the runner that records what is missing."""
