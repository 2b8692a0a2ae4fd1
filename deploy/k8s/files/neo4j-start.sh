# Starts Neo4j. A job that shares the folder may ask for a dump, or to load one (edugraph_cli/backups.py). Community can do
# neither while it runs, so Neo4j ends, and the container starts again and does it first.
database=$1 folder=$2
mkdir -p "$folder"
# The request goes first: after an answer nothing may load the dump once more, also if the container ends between the two.
answer() {
  rm -f "$folder/dump-wanted" "$folder/load-wanted"
  touch "$folder/$1"
}
if test -e "$folder/dump-wanted"; then
  rm -f "$folder/neo4j.dump"
  # A dump that fails must not keep Neo4j away: the job fails instead.
  if neo4j-admin database dump "$database" --to-path="$folder"; then
    test "$database" = neo4j || mv "$folder/$database.dump" "$folder/neo4j.dump"
    answer done
  else
    answer failed
  fi
elif test -e "$folder/load-wanted"; then
  test "$database" = neo4j || mv "$folder/neo4j.dump" "$folder/$database.dump"
  if neo4j-admin database load "$database" --from-path="$folder" --overwrite-destination=true; then
    answer done
  else
    answer failed
  fi
fi
neo4j console &
server=$!
trap 'kill -TERM $server' TERM INT
while kill -0 $server 2>/dev/null && ! test -e "$folder/dump-wanted" && ! test -e "$folder/load-wanted"; do
  sleep 2 &
  wait $!
done
kill -TERM $server 2>/dev/null
# A signal ends a wait before its process has ended.
while kill -0 $server 2>/dev/null; do
  wait $server
done
