// name: records_after
// Returns the next records about students with their times, and whether they have a text or a quote of one.
// for: Attempt, CourseRecord, ErrorRecord, Interaction
MATCH (n:{label}) WHERE n.id > $after
RETURN n.id AS id, n.timestamp AS timestamp, n.carried AS carried,
  coalesce(n.text, n.subject, n.feedback, n.question, n.error_text, n.response) IS NOT NULL
    OR n.found_evidence IS NOT NULL AS has_text
ORDER BY id LIMIT $limit

// name: feedback_pairs
// Returns between whom these interactions carry feedback.
UNWIND $ids AS id
MATCH (t:Teacher)-[:SENT]->(n:Interaction {id: id})-[:RECEIVED_BY]->(s:Student)
WHERE n.feedback IS NOT NULL
RETURN DISTINCT t.id AS teacher, s.id AS student

// name: blank
// Takes the texts of records away, and the quotes of them.
// for: Attempt, CourseRecord, ErrorRecord, Interaction
UNWIND $rows AS row
MATCH (n:{label} {id: row.id})
SET n.text = null, n.subject = null, n.feedback = null, n.question = null, n.error_text = null, n.response = null,
  n.found_evidence = null, n.finding = row.finding
