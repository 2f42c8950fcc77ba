-- A customer reports that a delivered upgrade is not right: an intervention whose request stays delivered. It ends with an
-- answer.
ALTER TABLE interventions DROP CONSTRAINT interventions_outcome_check;
ALTER TABLE interventions ADD CONSTRAINT interventions_outcome_check
    CHECK (outcome IN ('retry', 'reject', 'cancel', 'answer'));

-- Nobody waits for a delivered request, so what is due is counted from the report.
COMMENT ON COLUMN interventions.due_at IS
    'When the promise to the customer breaks; of a discrepancy, when an answer is due';
