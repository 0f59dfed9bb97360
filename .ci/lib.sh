# Functions of .ci/run, which has made the folder $work.
# shellcheck shell=bash
# shellcheck disable=SC2154

app=""      # the app's process, while it runs
postgres="" # the folder of PostgreSQL's programs, while it runs
s3=""       # the process of the server of S3, while it runs
total=$SECONDS

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# step HEADING COMMAND... runs the command under its heading and says how long
# it took. It runs in this shell, so functions can set variables.
step() {
	local heading=$1 start=$SECONDS
	shift
	echo "=== $heading"
	current=$heading
	"$@"
	echo "--- $heading: $((SECONDS - start)) s"
}

# finish ends what was started and removes what was made.
finish() {
	local status=$?
	trap - EXIT
	[ -n "${complete:-}" ] || status=$((status ? status : 1)) # interrupted
	if [ "$status" -ne 0 ]; then
		echo "FAILED in: ${current:-the beginning}" >&2
		show_log "$work/app.log"
		show_log "$work/postgres/log"
		show_log "$work/s3.log"
	fi
	if [ -n "$app" ]; then
		kill -KILL "$app" 2>/dev/null || true
	fi
	stop_postgres || true
	stop_s3 || true
	rm -rf "$work"
	echo "=== exit $status after $((SECONDS - total)) s"
	exit "$status"
}

show_log() {
	if [ -s "$1" ]; then
		echo "--- the end of $(basename "$1"):" >&2
		tail -n 40 "$1" >&2
	fi
}

free_port() {
	node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'
}

# build_release builds the program for this machine as a release has it, and asks it which
# one it is. The steps that need a server start this program.
build_release() {
	local version
	{
		cat .goreleaser.yaml
		echo "dist: $work/dist"
	} >"$work/goreleaser.yaml"
	.ci/goreleaser build --config "$work/goreleaser.yaml" --snapshot --single-target --output "$work/multitenant"
	version=$(node -p 'JSON.parse(fs.readFileSync(process.argv[1])).version' "$work/dist/metadata.json")
	"$work/multitenant" version | grep -F "$version" || fail "the program does not know that it is $version"
}

# serve NAME=VALUE... starts the app with these settings and those of a fresh
# clone, and returns once it is ready. Sets base and app.
serve() {
	local port
	port=$(free_port)
	base="http://127.0.0.1:$port"
	mkdir -p "$work/home"
	cp .env "$work/home/"
	# The cheapest bcrypt: its price is not what is looked at here.
	(
		cd "$work/home" || exit
		exec env HTTP_ADDR="127.0.0.1:$port" BCRYPT_COST=4 "$@" "$work/multitenant"
	) >"$work/app.log" 2>&1 &
	app=$!
	wait_ready || fail "the app is not ready"
}

wait_ready() {
	local deadline=$((SECONDS + 30))
	while [ "$SECONDS" -lt "$deadline" ] && kill -0 "$app" 2>/dev/null; do
		if node -e 'fetch(process.argv[1]).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))' "$base/ready"; then
			return 0
		fi
	done
	return 1
}

# stop_app asks the app to end and expects it to, in order and in time.
stop_app() {
	local pid=$app status=0
	kill -TERM "$pid"
	timeout 15 tail --pid="$pid" -f /dev/null || fail "the app still runs 15 s after SIGTERM"
	app=""
	wait "$pid" || status=$?
	[ "$status" -eq 0 ] || fail "the app's exit code is $status"
}

postman() {
	newman run docs/postman_collection.json --environment docs/postman_environment.json --env-var "base_url=$base" --color off --disable-unicode \
		--reporters cli --reporter-cli-no-banner --reporter-cli-no-success-assertions --reporter-cli-no-console
}

# postman_bruno imports the same collection into Bruno and runs it there.
postman_bruno() {
	local folder
	folder=$(mktemp -d "$work/bruno.XXXXXX")
	node .ci/bruno.mjs "$folder/test" docs/postman_collection.json docs/postman_environment.json
	in_bruno "$folder/test" --env environment --env-var "base_url=$base"
}

# postman_use runs the collection for people as a new user would, and in Bruno as another.
postman_use() {
	local folder
	folder=$(mktemp -d "$work/bruno.XXXXXX")
	newman run docs/postman_use.json --env-var "baseUrl=$base" --color off --disable-unicode \
		--reporters cli,json --reporter-cli-no-banner --reporter-json-export "$folder/newman.json"
	node .ci/postman-answers.mjs "$folder/newman.json"
	node .ci/bruno.mjs "$folder/use" docs/postman_use.json
	in_bruno "$folder/use" --env-var "baseUrl=$base" --env-var email=barbara@example.com --env-var tenant=globex \
		--reporter-json "$folder/bruno.json"
	node .ci/postman-answers.mjs "$folder/bruno.json"
}

# in_bruno FOLDER OPTION... runs a collection of Bruno. Its scripts run in Node itself: that
# takes a quarter of the time. It has no quiet reporter, so its words are shown if it fails. It
# skips files that it cannot read, and does not call that a failure.
in_bruno() {
	if ! (cd "$1" && bru run -r --sandbox developer "${@:2}") >"$1.log" 2>&1 || grep -qF 'Skipping invalid file' "$1.log"; then
		grep -vF '✓' "$1.log"
		return 1
	fi
	grep -F 'Requests' "$1.log"
}

random() {
	od -An -N16 -tx1 /dev/urandom | tr -d ' \n'
}

# as_postgres runs a command as a user whom PostgreSQL accepts.
as_postgres() {
	if [ "$(id -u)" -eq 0 ]; then
		(cd / && runuser -u postgres -- "$@")
	else
		"$@"
	fi
}

# start_postgres starts a throw-away server with an app's role such as
# production has: it may make databases and roles, and is no superuser. Sets
# postgres_url.
start_postgres() {
	local dir="$work/postgres" port password
	port=$(free_port)
	password=$(random)
	mkdir "$dir"
	[ "$(id -u)" -ne 0 ] || chown postgres "$dir"

	postgres=$(server_programs)
	as_postgres "$postgres/initdb" --pgdata="$dir/data" --auth-local=peer --auth-host=scram-sha-256 \
		--encoding=UTF8 --locale=C --no-sync >/dev/null
	as_postgres "$postgres/pg_ctl" start --pgdata="$dir/data" --log="$dir/log" --wait --silent \
		--options="-F -p $port -k $dir -c listen_addresses=127.0.0.1"
	as_postgres "$postgres/psql" --host="$dir" --port="$port" --dbname=postgres --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
		--command="CREATE ROLE app LOGIN CREATEDB CREATEROLE NOSUPERUSER PASSWORD '$password'" \
		--command="CREATE DATABASE core OWNER app"
	# shellcheck disable=SC2034 # .ci/run reads it
	postgres_url="postgres://app:$password@127.0.0.1:$port/core?sslmode=disable"
}

stop_postgres() {
	[ -n "$postgres" ] || return 0
	as_postgres "$postgres/pg_ctl" stop --pgdata="$work/postgres/data" --mode=immediate --silent
	postgres=""
}

# start_s3 starts a throw-away server of S3 with an empty bucket. It keeps objects as files,
# and its records of them beside: not every file system has extended attributes.
# Sets s3_url, s3_access and s3_secret.
start_s3() {
	local dir="$work/s3" port deadline=$((SECONDS + 30))
	port=$(free_port)
	s3_access=$(random)
	s3_secret=$(random)
	mkdir -p "$dir/data/backups" "$dir/about"
	ROOT_ACCESS_KEY_ID=$s3_access ROOT_SECRET_ACCESS_KEY=$s3_secret versitygw --port "127.0.0.1:$port" --health /health \
		--quiet posix --sidecar "$dir/about" "$dir/data" >"$work/s3.log" 2>&1 &
	s3=$!
	until node -e 'fetch(process.argv[1]).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))' "http://127.0.0.1:$port/health"; do
		[ "$SECONDS" -lt "$deadline" ] && kill -0 "$s3" 2>/dev/null || fail "the server of S3 is not ready"
	done
	# shellcheck disable=SC2034 # .ci/run reads it
	s3_url="s3://backups/ci?endpoint=http://127.0.0.1:$port"
}

stop_s3() {
	[ -n "$s3" ] || return 0
	kill -TERM "$s3"
	wait "$s3" || true # it was told to end
	s3=""
}

# server_programs prints the folder of the server's programs: the one that
# initdb on PATH leads to, else the newest of Debian's.
server_programs() {
	local initdb
	initdb=$(command -v initdb || find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
	[ -n "$initdb" ] || return 1
	dirname "$(readlink -f "$initdb")"
}
