# Completion of multitenant for bash 3.2 or later: source <(multitenant completion bash)
_multitenant() {
	local line
	COMPREPLY=()
	while IFS= read -r line; do
		if [ "$line" = :files ]; then
			compopt -o default 2>/dev/null
			return
		fi
		COMPREPLY+=("${line%%$'\t'*}")
	done < <("$1" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _multitenant multitenant
