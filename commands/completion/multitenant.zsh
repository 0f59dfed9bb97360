#compdef multitenant
# Completion of multitenant for zsh: source <(multitenant completion zsh), after compinit,
# or write it to a file _multitenant in a folder of $fpath.
_multitenant() {
	local line
	local -a found
	for line in "${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		if [[ $line == :files ]]; then
			_files
			return
		fi
		if [[ -n $line ]]; then
			found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
		fi
	done
	_describe multitenant found
}
if [[ ${funcstack[1]} == _multitenant ]]; then
	_multitenant "$@"
else
	compdef _multitenant multitenant
fi
