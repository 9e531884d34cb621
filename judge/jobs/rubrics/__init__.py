"""`judge.…_rubric`: rubrics written, checked and tried."""
