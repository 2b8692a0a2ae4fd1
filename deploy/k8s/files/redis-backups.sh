# Sourced by the start script of Redis. A job that shares the folder may ask for a dump, or to load one
# (edugraph_cli/backups.py). Redis reads its data at its start only, so for the second it ends, and the container starts again.
folder=$data/backup
mkdir -p "$folder"
answer() {
  touch "$folder/$1"
  rm -f "$folder/dump-wanted" "$folder/load-wanted"
}
loaded=no
if test -e "$folder/load-wanted"; then
  loaded=yes
  # A dump is the base of an append-only file to which nothing was added yet.
  rm -rf "$data/appendonlydir"
  mkdir "$data/appendonlydir"
  cp "$folder/dump.rdb" "$data/appendonlydir/appendonly.aof.1.base.rdb"
  echo 'file appendonly.aof.1.base.rdb seq 1 type b' >"$data/appendonlydir/appendonly.aof.manifest"
fi
(
  until redis-cli ping | grep -q PONG; do sleep 1; done
  # A request that came after this start was not done by it.
  if test $loaded = yes; then
    answer done
  fi
  while sleep 2; do
    if test -e "$folder/dump-wanted"; then
      if redis-cli --rdb "$folder/dump.rdb"; then answer done; else answer failed; fi
    elif test -e "$folder/load-wanted"; then
      redis-cli shutdown nosave
    fi
  done
) >/dev/null 2>&1 &
