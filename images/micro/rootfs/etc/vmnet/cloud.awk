# Turn cloud-init's files into orders, one a line, for `obey` in /etc/vmnet/words.
# Run as: awk -f cloud.awk kind=meta meta-data kind=user user-data kind=network network-config
#
# It reads the YAML that people and programs write there: blocks, flow [lists] and {maps} (so JSON
# too) over several lines, quotes, comments; not anchors, not text folded over lines. Every value
# passes a check of its letters before it is printed: the shell never sees another.

BEGIN { SEP = "\t"; COMMENT = "[ \t]+#.*$" }

FNR == 1 { depth = 0; flow_text = ""; literal = -1 }

{
	sub(/\r$/, "")
	if (flow_text != "") { more_flow($0); next }
	match($0, /^ */); indent = RLENGTH
	text = substr($0, indent + 1)
	if (text == "" || text ~ /^(#|---|%|\.\.\.)/) next
	if (literal >= 0 && indent > literal) next
	literal = -1
	while (text ~ /^-( |$)/) {
		while (depth > 0 && (at[depth] > indent || (at[depth] == indent && name[depth] ~ /^#/))) depth--
		push(indent, "#" ++items)
		match(text, /^- */); indent += RLENGTH; text = substr(text, RLENGTH + 1)
	}
	if (text == "") next
	if (substr(text, 1, 1) ~ /[\[{]/) { path = place(indent); more_flow(text); next }
	split_pair(text)
	if (!is_pair) { value(place(indent), text); next }
	while (depth > 0 && at[depth] >= indent) depth--
	push(indent, key)
	if (rest ~ /^[|>][-+0-9]*([ \t]|$)/) { literal = indent; next }
	if (substr(rest, 1, 1) ~ /[\[{]/) { path = place(indent + 1); more_flow(rest); next }
	if (rest != "" && rest !~ /^#/) value(place(indent + 1), rest)
}

function push(indent, word) { depth++; at[depth] = indent; name[depth] = word }

# The path of what stands at this indent: the names above it.
function place(indent,   i, joined) {
	for (i = 1; i <= depth && at[i] < indent; i++) joined = joined (i > 1 ? SEP : "") name[i]
	return joined
}

# Where the text in quotes that begins at `from` ends, 0 when it does not. Found by index(), not
# letter by letter: the content of a file may be long.
function closing(text, from,   quote, at, next_one, back) {
	quote = substr(text, from, 1); at = from
	while (1) {
		next_one = index(substr(text, at + 1), quote)
		if (!next_one) return 0
		at += next_one
		if (quote == "'") return at
		for (back = at - 1; back > from && substr(text, back, 1) == "\\"; back--) ;
		if ((at - back) % 2) return at
	}
}

# Split `key: rest`; a colon within a word (an address) parts nothing. Gives is_pair, key, rest.
function split_pair(text,   end, quote) {
	is_pair = 0; quote = substr(text, 1, 1)
	if (quote == "\"" || quote == "'") {
		end = closing(text, 1)
		key = substr(text, 2, end - 2); rest = substr(text, end + 1)
		if (end < 2 || rest !~ /^[ \t]*:/) return
		sub(/^[ \t]*:[ \t]*/, "", rest)
	} else {
		if (!match(text, /:([ \t]|$)/)) return
		key = substr(text, 1, RSTART - 1); rest = substr(text, RSTART + 1)
		sub(/[ \t]+$/, "", key); sub(/^[ \t]+/, "", rest)
	}
	is_pair = 1
}

# Gather a flow collection over lines until its brackets are closed, then take it apart.
function more_flow(line,   i, c, size, end) {
	if (flow_text == "") { open = 0; quoted = "" }
	size = length(line); i = 1
	if (quoted != "") { # the quotes were opened on a line before
		end = closing(quoted line, 1)
		if (!end) { flow_text = flow_text line " "; return }
		i = end; quoted = ""
	}
	for (; i <= size; i++) {
		c = substr(line, i, 1)
		if (c == "\"" || c == "'") {
			end = closing(line, i)
			if (!end) { quoted = c; i = size + 1; break }
			i = end
		}
		else if (c == "#" && (i == 1 || substr(line, i - 1, 1) ~ /[ \t]/)) break
		else if (index("[{", c)) open++
		else if (index("]}", c) && --open == 0) {
			line = flow_text substr(line, 1, i); flow_text = ""
			flow(path, line)
			return
		}
	}
	flow_text = flow_text substr(line, 1, i - 1) " "
}

function flow(path, text,   i, c, deep, start, end, size, is_map) {
	is_map = substr(text, 1, 1) == "{"
	size = length(text); start = 2
	for (i = 2; i <= size; i++) {
		c = substr(text, i, 1)
		if (c == "\"" || c == "'") { end = closing(text, i); i = end ? end : size; continue }
		if (index("[{", c)) deep++
		else if (index("]}", c)) deep--
		if (deep < 0 || (c == "," && deep == 0)) {
			flow_part(path, substr(text, start, i - start), is_map)
			start = i + 1
		}
	}
}

function flow_part(path, text, is_map,   end) {
	gsub(/^[ \t]+|[ \t]+$/, "", text)
	if (text == "") return
	if (is_map) {
		if (text ~ /^["']/ && (end = closing(text, 1)) && substr(text, end + 1) ~ /^[ \t]*:[^ \t]/)
			text = substr(text, 1, end) ": " substr(text, index(substr(text, end + 1), ":") + end + 1)   # JSON: no blank needed
		split_pair(text)
		if (!is_pair) return
		path = path (path == "" ? "" : SEP) key; text = rest
	} else path = path (path == "" ? "" : SEP) "#" ++items
	if (substr(text, 1, 1) ~ /[\[{]/) flow(path, text); else value(path, text)
}

function value(path, text,   quote, end) {
	quote = substr(text, 1, 1)
	if (quote == "\"" || quote == "'") {
		end = closing(text, 1)
		text = substr(text, 2, end - 2)
		if (quote == "\"") text = unescaped(text)
	} else { sub(COMMENT, "", text); gsub(/^[ \t]+|[ \t]+$/, "", text); if (text ~ /^(~|null)$/) return }
	n = split(path, p, SEP)
	if (kind == "network") network(text); else account(text)
}

# What JSON escapes of plain text.
function unescaped(text,   count, parts, i, joined) {
	if (!index(text, "\\")) return text
	count = split(text, parts, /\\\\/)
	for (i = 1; i <= count; i++) {
		gsub(/\\"/, "\"", parts[i]); gsub(/\\\//, "/", parts[i])
		joined = joined (i > 1 ? "\\" : "") parts[i]
	}
	return joined
}

# meta-data, user-data and vendor-data: the name, the keys, files to write, what to run.
function account(text,   word) {
	if (p[1] == "write_files" && n == 3) { write_file(p[2], p[3], text); return }
	if (p[1] == "runcmd" && n == 2) {
		if (text ~ /^sh \/[A-Za-z0-9_.\/-]+$/) run[++runs] = substr(text, 4)
		else print "bad runcmd of user-data"
		return
	}
	if (kind == "meta" && n == 1 && (p[1] == "local-hostname" || p[1] == "hostname")) {
		if (!named || p[1] == "local-hostname") hostname = text
		named = named || p[1] == "local-hostname"
		return
	}
	for (word = 1; word <= n; word++)
		if (p[word] == "ssh_authorized_keys" || p[word] == "ssh-authorized-keys" || p[word] == "public-keys")
			if (text ~ /^[a-z0-9@.-]+ [A-Za-z0-9+\/=]+( |$)/) { print "key " text; return }
}

function write_file(item, what, text) {
	if (!(item in file_known)) { file_known[item] = ++written; file[written] = item }
	file_part[item, what] = text
}

# Files come as base64, as vmnet writes them: no letter of theirs means anything on the way.
function each_file(item,   path, mode, owner, content) {
	path = file_part[item, "path"]; content = file_part[item, "content"]
	mode = file_part[item, "permissions"]; owner = file_part[item, "owner"]
	if (mode == "") mode = "0644"
	if (owner == "") owner = "root:root"
	if (content == "") content = "-"
	if (file_part[item, "encoding"] !~ /^(b64|base64)$/ || content !~ /^([A-Za-z0-9+\/]+=*|-)$/ ||
		path !~ /^\/[A-Za-z0-9_.+@%:,=\/-]+$/ || path ~ /(^|\/)\.\.(\/|$)/ ||
		mode !~ /^[0-7][0-7][0-7][0-7]?$/ || owner !~ /^[a-z0-9_-]+(:[a-z0-9_-]+)?$/) print "bad file of user-data"
	else print "file " mode " " owner " " path " " content
}

# network-config: p[first] is "ethernets", then the NIC's id, then its property.
function network(text,   first, id, what, item) {
	first = p[1] == "network" ? 2 : 1
	if (p[first] ~ /^(bonds|bridges|vlans|wifis|tunnels)$/ && !told[p[first]]++) print "bad " p[first]
	if (p[first] != "ethernets") return
	id = p[first + 1]; what = p[first + 2]; item = p[first + 3]
	if (!(id in number)) { number[id] = ++nics; ids[nics] = id }
	if (what == "match") { if (item == "macaddress") mac[id] = tolower(text); else if (item == "name") device[id] = text }
	else if (what == "set-name") set_name[id] = text
	else if (what == "mtu") mtu[id] = text
	else if (what == "dhcp4") dhcp4[id] = yes(text)
	else if (what == "accept-ra") ra[id] = yes(text) ? 2 : 0
	else if (what == "dhcp6" && yes(text)) dhcp6[id] = 1   # no DHCPv6 here: router advertisements
	else if (what == "addresses") { if (item !~ /^#/) address(id, item); else address(id, n > first + 3 ? p[first + 4] : text) }
	else if (what ~ /^gateway[46]$/) route(id, "default", text, "-", "-")
	else if (what == "nameservers") { if (item == "addresses") dns[id] = dns[id] SEP text; else if (item == "search") search[id] = search[id] " " text }
	else if (what == "routes") {
		if (!((id, item) in route_known)) { route_known[id, item] = 1; routes[id] = routes[id] SEP item }
		part[id, item, p[first + 4]] = text
	}
}

function yes(text) { return tolower(text) ~ /^(true|yes|on|y)$/ }
function address(id, text) { if (text != last_address[id]) addresses[id] = addresses[id] SEP text; last_address[id] = text }
function route(id, to, via, metric, onlink) { gateways[id] = gateways[id] SEP to " " via " " metric " " onlink }

function good_address(text) { return text ~ /^[0-9A-Fa-f:.]+(\/[0-9]+)?$/ }
function good_name(text) { return length(text) < 16 && text ~ /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/ }

# Print an order whose argument is fit to be one, or complain without repeating what it said.
# Tells whether the order was given.
function order(word, text, fit, id) {
	if (text == "") return 0
	if (fit) { print word " " text; return 1 }
	gsub(/[^A-Za-z0-9_.:-]/, "?", id)
	print "bad " word " of " id
	return 0
}

function each(id,   i, count, list, to, via, metric, onlink) {
	# What it says of a NIC that cannot be told must not reach the one before it.
	if (mac[id] != "") { if (!order("nic", mac[id], mac[id] ~ /^[0-9a-f][0-9a-f](:[0-9a-f][0-9a-f])+$/, id)) return }
	else if (!order("device", device[id] == "" ? id : device[id], good_name(device[id] == "" ? id : device[id]), id)) return
	order("name", set_name[id], good_name(set_name[id]), id)
	order("mtu", mtu[id], mtu[id] ~ /^[0-9]+$/, id)
	if (id in ra) print "ra " ra[id]; else if (id in dhcp6) print "ra 2"
	print "up"
	count = split(addresses[id], list, SEP)
	for (i = 2; i <= count; i++) order("address", list[i], good_address(list[i]), id)
	if (dhcp4[id]) print "dhcp"
	count = split(routes[id], list, SEP)
	for (i = 2; i <= count; i++) {
		to = part[id, list[i], "to"]; via = part[id, list[i], "via"]; metric = part[id, list[i], "metric"]
		onlink = yes(part[id, list[i], "on-link"]) ? "onlink" : "-"
		if (to ~ /^(0\.0\.0\.0|::)\/0$/) to = "default"
		route(id, to, via == "" ? "-" : via, metric == "" ? "-" : metric, onlink)
	}
	count = split(gateways[id], list, SEP)
	for (i = 2; i <= count; i++)
		order("route", list[i], list[i] ~ /^(default|[0-9A-Fa-f:.]+(\/[0-9]+)?) (-|[0-9A-Fa-f:.]+) (-|[0-9]+) (-|onlink)$/, id)
	count = split(dns[id], list, SEP)
	for (i = 2; i <= count; i++) order("dns", list[i], good_address(list[i]), id)
	if (search[id] != "") order("search", substr(search[id], 2), search[id] ~ /^[A-Za-z0-9. -]+$/, id)
}

END {
	if (hostname != "") order("hostname", hostname, hostname ~ /^[A-Za-z0-9][A-Za-z0-9.-]*$/, "meta-data")
	for (i = 1; i <= nics; i++) each(ids[i])
	for (i = 1; i <= written; i++) each_file(file[i])
	for (i = 1; i <= runs; i++) print "run " run[i]
}
