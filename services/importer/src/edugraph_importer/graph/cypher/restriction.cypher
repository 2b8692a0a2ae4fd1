// name: restrict_student
// Says of a student that nothing of them is to be analysed or shown, or no longer. Returns whether there is one.
MATCH (s:Student {id: $id})
SET s.restricted = $restricted
RETURN s.id AS id

// name: restricted_students
// Returns the students of whom nothing is to be analysed or shown.
MATCH (s:Student)
WHERE s.restricted
RETURN s.id AS id
