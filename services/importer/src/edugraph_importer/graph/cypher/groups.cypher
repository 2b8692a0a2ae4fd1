// name: memberships_of
// Returns the memberships of people in some groups. The plan begins at the person, who is in a few groups, and not at
// the group, which may have many members.
// for: Student, Teacher
UNWIND $rows AS row
MATCH (p:{label} {id: row.person})-[:HAS_MEMBERSHIP]->(n:Membership)-[:IN_GROUP]->(g) WHERE g.id IN row.groups
RETURN row.person AS person, g.id AS group, n.id AS record, n.timestamp AS timestamp, n.starts AS starts, n.ends AS ends,
  n.term AS term, n.leads AS leads

// name: leads_of
// Returns the times at which people led some groups, before LEADS is derived again.
// for: Student, Teacher
UNWIND $rows AS row
MATCH (p:{label} {id: row.person})-[r:LEADS]->(g) WHERE g.id IN row.groups
RETURN row.person AS person, g.id AS group, r.starts AS starts, r.ends AS ends

// name: remove_memberships
// Removes relationships that are derived again, or whose records were removed.
// for: Student, Teacher
UNWIND $rows AS row
MATCH (p:{label} {id: row.person})-[r:MEMBER_OF|LEADS]->(g) WHERE g.id IN row.groups
DELETE r

// name: member_of
// Creates the times during which people are in groups.
// for: Student, Teacher
UNWIND $rows AS row
MATCH (p:{label} {id: row.person})
MATCH (g:Group {id: row.group})
CREATE (p)-[:MEMBER_OF {starts: datetime(row.starts), ends: datetime(row.ends), term: row.term}]->(g)

// name: leads
// Creates the times during which people lead groups.
// for: Student, Teacher
UNWIND $rows AS row
MATCH (p:{label} {id: row.person})
MATCH (g:Group {id: row.group})
CREATE (p)-[:LEADS {starts: datetime(row.starts), ends: datetime(row.ends), term: row.term}]->(g)

// name: group_counts
// Returns the names and courses that these memberships give to their groups.
UNWIND $ids AS id
MATCH (n:Membership {id: id})-[:IN_GROUP]->(g)
RETURN g.id AS group, n.group_name AS name, n.course_id AS course

// name: group_counts_of_Group
// Returns the names and courses that all memberships give to these groups.
UNWIND $ids AS id
MATCH (g:Group {id: id})<-[:IN_GROUP]-(n)
RETURN g.id AS group, n.group_name AS name, n.course_id AS course, count(n) AS records

// name: add_of_course
// Adds to the number of memberships that give this course to a group.
UNWIND $rows AS row
MATCH (g:Group {id: row.group})
MATCH (c:Course {id: row.course})
MERGE (g)-[r:OF_COURSE]->(c)
SET r.records = coalesce(r.records, 0) + row.records

// name: remove_of_course
// Removes relationships that no membership states any more.
UNWIND $rows AS row
MATCH (g:Group {id: row.group})-[r:OF_COURSE]->(c) WHERE c.id = row.course AND r.records <= 0
DELETE r

// name: note_leader_changes
// Notes changes of who leads a group, until they are in the audit log.
UNWIND $rows AS row
CREATE (:LeaderChange {id: randomUUID(), at: timestamp(), client: row.client, by: row.by, group: row.group,
  person: row.person, leads: row.leads})

// name: leader_changes
// Returns the noted changes of leaders, the oldest first. Another process may delete a note meanwhile. Its properties are
// read at once, and a note without some of them is left out.
MATCH (n:LeaderChange)
WITH properties(n) AS note
WHERE note.id IS NOT NULL AND note.group IS NOT NULL AND note.person IS NOT NULL AND note.leads IS NOT NULL
RETURN note.id AS id, note.client AS client, note.by AS by, note.group AS group, note.person AS person,
  note.leads AS leads
ORDER BY note.at, id LIMIT $limit

// name: leaders_of_group
// Returns the people who lead a group at any time.
MATCH (g:Group {id: $id})<-[:LEADS]-(p)
RETURN p.id AS person

// name: forget_changes
// Deletes notes of changes that are in the audit log.
// for: IdClaimChange, LeaderChange, RecordChange
UNWIND $ids AS id
MATCH (n:{label} {id: id})
DELETE n

// name: note_id_claim_changes
// Notes changes of who claims which id, until they are in the audit log.
UNWIND $rows AS row
CREATE (:IdClaimChange {id: randomUUID(), at: timestamp(), client: row.client, by: row.by, person: row.person,
  claimed: row.claimed, claims: row.claims, decides: row.decides})

// name: id_claim_changes
// Returns the noted changes of claims, the oldest first. Another process may delete a note, as with changes of leaders.
MATCH (n:IdClaimChange)
WITH properties(n) AS note
WHERE note.id IS NOT NULL AND note.person IS NOT NULL AND note.claimed IS NOT NULL AND note.decides IS NOT NULL
RETURN note.id AS id, note.client AS client, note.by AS by, note.person AS person, note.claimed AS claimed,
  note.claims AS claims, note.decides AS decides
ORDER BY note.at, id LIMIT $limit
