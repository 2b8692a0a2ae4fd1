// name: owners_of
// Returns the owners of these ids, for the ids whose owner has another id.
MATCH (p:PersonId) WHERE p.id IN $ids AND p.owner IS NOT NULL
RETURN p.id AS id, p.owner AS owner

// name: claims_to_ids
// Returns all claims to ids. `decides` says whether they are decisions of an operator.
MATCH (p:PersonId)<-[:OF_PERSON]-(n:PersonRecord)
MATCH (n)-[r:CLAIMS|DECIDES]->(c)
RETURN p.id AS person, type(r) = 'DECIDES' AS decides, collect(DISTINCT c.id) AS claimed

// name: claims_of_persons
// Returns the claims of these persons.
MATCH (p:PersonId) WHERE p.id IN $ids
MATCH (p)<-[:OF_PERSON]-(n)
MATCH (n)-[:CLAIMS|DECIDES]->(c)
RETURN DISTINCT p.id AS person, c.id AS claimed

// name: claimants_of
// Returns the persons who claim these ids.
MATCH (c:PersonId) WHERE c.id IN $ids
MATCH (c)<-[:CLAIMS|DECIDES]-(n)
MATCH (n)-[:OF_PERSON]->(p)
RETURN DISTINCT c.id AS claimed, p.id AS person

// name: placed_ids
// Returns the ids whose owner has another id, and the ids with records that stand elsewhere than at their owner.
MATCH (p:PersonId) WHERE p.owner IS NOT NULL OR p.places IS NOT NULL
RETURN p.id AS id, p.owner AS owner, p.places AS places

// name: places_of
// Returns the owners of these ids, and where else their records may stand.
MATCH (p:PersonId) WHERE p.id IN $ids
RETURN p.id AS id, p.owner AS owner, p.places AS places

// name: set_owners
// Sets the owners of ids. The owner is null if the id owns itself. `places` has the ids of other nodes at which records
// with this id may stand.
UNWIND $rows AS row
MATCH (p:PersonId {id: row.id})
SET p.owner = row.owner, p.places = row.places

// name: count_change_of_owners
// Counts that ids get other owners, so that transactions that have read the owners before read them again.
MERGE (l:Lock {id: 'owners'})
SET l.changes = coalesce(l.changes, 0) + 1

// name: begin_settling_persons
// Returns the number of a new settler. The node is locked before its number is read.
MERGE (n:Lock {id: 'owners'})
SET n.id = 'owners'
WITH n
SET n.epoch = coalesce(n.epoch, 0) + 1
RETURN n.epoch AS epoch

// name: hold_settling_persons
// Keeps other settlers away until the transaction ends, and returns the number of the latest one.
MERGE (n:Lock {id: 'owners'})
SET n.id = 'owners'
WITH n
RETURN n.epoch AS epoch

// name: links_to_move
// Returns some records that stand at another node than the owner of the id that their source gives.
// for: Student, Teacher
UNWIND $rows AS row
MATCH (p:{label} {id: row.place})
MATCH (p)-[r:SENT|RECEIVED_BY|MADE|TRIED|HAS_RECORD|HAS_MEMBERSHIP]-(n) WHERE coalesce(r.given_id, p.id) = row.given
WITH DISTINCT row, n LIMIT $limit
RETURN collect({label: [each IN labels(n) WHERE each <> 'Record'][0], record: n.id, hash: n.content_hash,
  given: row.given, place: row.place, owner: row.owner}) AS links

// name: lock_contents
// Locks records in the given order and returns their content hashes. `lock_records` returns the whole version.
// for: Attempt, CourseRecord, ErrorRecord, Interaction, Membership
UNWIND $ids AS id
MATCH (n:{label} {id: id})
SET n.content_hash = n.content_hash
RETURN collect([id, n.content_hash]) AS records

// name: ends_of
// Returns the types of the relationships of these records, with the nodes at their ends.
// for: Attempt, CourseRecord, ErrorRecord, Interaction, Membership
UNWIND $ids AS id
MATCH (n:{label} {id: id})-[r]-(m)
WITH n, collect({type: type(r), label: labels(m)[0], end: m.id}) AS ends
RETURN collect({record: n.id, interaction_type: n.interaction_type, ends: ends}) AS records

// name: move_sent
// Makes the owner the sender of interactions. A student and a teacher may have the same id.
// for: Student, Teacher
UNWIND $rows AS row
MATCH (n:Interaction {id: row.record})
MATCH (n)<-[r:SENT]-(p) WHERE p.id = row.place AND '{label}' IN labels(p) AND coalesce(r.given_id, p.id) = row.given
MATCH (q:{label} {id: row.owner})
CREATE (q)-[:SENT {name: r.name, given_id: CASE WHEN row.given = row.owner THEN null ELSE row.given END}]->(n)
SET n.renamed = true, n.written = $word, p.changed = $word
DELETE r

// name: move_received
// Makes the owner the receiver of interactions.
UNWIND $rows AS row
MATCH (n:Interaction {id: row.record})
MATCH (n)-[r:RECEIVED_BY]->(p) WHERE p.id = row.place AND coalesce(r.given_id, p.id) = row.given
MATCH (q:Student {id: row.owner})
CREATE (n)-[:RECEIVED_BY {name: r.name, given_id: CASE WHEN row.given = row.owner THEN null ELSE row.given END}]->(q)
SET n.renamed = true, n.written = $word, p.changed = $word
DELETE r

// name: move_made
// Gives mistakes to the owner.
UNWIND $rows AS row
MATCH (n:ErrorRecord {id: row.record})
MATCH (n)<-[r:MADE]-(p) WHERE p.id = row.place AND coalesce(r.given_id, p.id) = row.given
MATCH (q:Student {id: row.owner})
CREATE (q)-[:MADE {name: r.name, given_id: CASE WHEN row.given = row.owner THEN null ELSE row.given END}]->(n)
SET n.renamed = true, n.written = $word, p.changed = $word
DELETE r

// name: move_tried
// Gives attempts to the owner.
UNWIND $rows AS row
MATCH (n:Attempt {id: row.record})
MATCH (n)<-[r:TRIED]-(p) WHERE p.id = row.place AND coalesce(r.given_id, p.id) = row.given
MATCH (q:Student {id: row.owner})
CREATE (q)-[:TRIED {name: r.name, given_id: CASE WHEN row.given = row.owner THEN null ELSE row.given END}]->(n)
SET n.renamed = true, n.written = $word, p.changed = $word
DELETE r

// name: move_has_record
// Gives course_records to the owner.
UNWIND $rows AS row
MATCH (n:CourseRecord {id: row.record})
MATCH (n)<-[r:HAS_RECORD]-(p) WHERE p.id = row.place AND coalesce(r.given_id, p.id) = row.given
MATCH (q:Student {id: row.owner})
CREATE (q)-[:HAS_RECORD {given_id: CASE WHEN row.given = row.owner THEN null ELSE row.given END}]->(n)
SET n.written = $word, p.changed = $word
DELETE r

// name: move_membership
// Gives memberships to the owner. A student and a teacher may have the same id.
// for: Student, Teacher
UNWIND $rows AS row
MATCH (n:Membership {id: row.record})
MATCH (n)<-[r:HAS_MEMBERSHIP]-(p) WHERE p.id = row.place AND '{label}' IN labels(p) AND coalesce(r.given_id, p.id) = row.given
MATCH (q:{label} {id: row.owner})
CREATE (q)-[:HAS_MEMBERSHIP {name: r.name, given_id: CASE WHEN row.given = row.owner THEN null ELSE row.given END}]->(n)
SET n.written = $word, p.changed = $word
DELETE r

// name: move_days
// Gives some days of activity to the owner. The id of a day begins with the id of the person as the source gives it.
UNWIND $rows AS row
MATCH (p:Student {id: row.place})
MATCH (p)-[r:ACTIVE_ON]->(d) WHERE d.id STARTS WITH row.day
WITH row, p, r, d LIMIT $limit
MATCH (q:Student {id: row.owner})
CREATE (q)-[:ACTIVE_ON]->(d)
SET d.written = $word, p.changed = $word
DELETE r
RETURN count(*) AS moved

// name: ids_of_persons
// Returns, for each of these ids, its owner and all other ids with the same owner.
UNWIND $ids AS id
OPTIONAL MATCH (p:PersonId {id: id})
WITH id, coalesce(p.owner, id) AS owner
OPTIONAL MATCH (q:PersonId)
USING INDEX q:PersonId(owner)
WHERE q.owner = owner
RETURN id, owner, collect(q.id) AS others

// name: former_ids
// Returns the ids that these students had before earlier releases renamed them.
UNWIND $ids AS id
MATCH (s:Student {id: id})
RETURN s.former_ids AS former
