# Sourced by the start script of Redis. A job that shares the folder may ask for a dump, or to load one
# (edugraph_cli/backups.py). Redis reads its data at its start only, so for the second it ends, and the container starts again.
folder=$data/backup
mkdir -p "$folder"
# The request goes first: after an answer nothing may load the dump once more, also if the container ends between the two.
answer() {
  rm -f "$folder/dump-wanted" "$folder/load-wanted"
  touch "$folder/$1"
}
loaded=no
if test -e "$folder/load-wanted"; then
  # A dump is the base of an append-only file to which nothing was added yet. A copy that fails or is damaged leaves the
  # old data: Redis would not start with it.
  new=$data/appendonlydir.new
  rm -rf "$new"
  mkdir "$new"
  echo 'file appendonly.aof.1.base.rdb seq 1 type b' >"$new/appendonly.aof.manifest"
  base=$new/appendonly.aof.1.base.rdb
  if cp "$folder/dump.rdb" "$base" && redis-check-rdb "$base" >/dev/null; then
    rm -rf "$data/appendonlydir"
    mv "$new" "$data/appendonlydir"
    loaded=yes
  else
    rm -rf "$new"
    answer failed
  fi
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
