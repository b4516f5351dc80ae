# undocumented.awk XML...: reads what Doxygen wrote of the library and lists every public name that no comment
# explains. One documented overload speaks for all of its name, and the comment of a struct for the fields that
# it names. These speak for themselves: constructors, operators, `sized` and functions without arguments of a
# class, fields and constants of a type of ours, and what all values of a class share.

/^  <compounddef / {
  kind = attribute($0, "kind")
  is_read = kind ~ /^(namespace|class|struct|concept)$/ && $0 !~ /prot="private"/
  in_member = described = compound_described = fields = 0
  comment = ""
}
!is_read { next }
/^    <compoundname>/ {
  compound = text_of($0)
  gsub(/ *<[^:]*>/, "", compound)
  is_ours = compound ~ /^burrow/
}
/^      <memberdef / {
  in_member = 1
  described = constant_of_ours = 0
  member_kind = attribute($0, "kind")
  is_public = attribute($0, "prot") == "public"
  is_shared = attribute($0, "static") == "yes"
}
in_member && /^        <name>/ { name = text_of($0) }
in_member && /^        <argsstring>/ { arguments = text_of($0) }
in_member && /^        <type>/ { constant_of_ours = member_kind == "variable" && /<ref / }
in_description && !in_member { comment = comment " " text_of($0) }
/^ +<(brief|detailed)description>/ { in_description = 1 }
/^ +<\/(brief|detailed)description>/ { in_description = 0 }
in_description && /<para>/ { if (in_member) described = 1; else compound_described = 1 }
/<location / { place = attribute($0, "file") ":" attribute($0, "line") }
/^      <\/memberdef>/ {
  in_member = 0
  if (is_ours && is_public && !speaks_for_itself()) {
    if (is_field() && !described) { field[fields] = name; field_place[fields++] = place }
    else note(compound "::" name, described)
  }
}
/^  <\/compounddef>/ {
  if (is_ours && kind != "namespace") note(compound, compound_described)
  for (i = 0; i < fields; i++) {
    place = field_place[i]
    note(compound "::" field[i], (" " comment " ") ~ ("[^a-z_]" field[i] "[^a-z_]"))
  }
}

END {
  if (!documented_names) { print "no documented name was found"; exit 1 }
  for (name in first_place)
    if (!(name in documented)) { print first_place[name] ": " name " is not documented"; failed = 1 }
  exit failed
}

function speaks_for_itself(   own_name) {
  if (kind == "namespace") return constant_of_ours
  if (is_field()) return is_shared || constant_of_ours
  own_name = compound
  sub(/.*::/, "", own_name)
  return member_kind != "function" || name == own_name || name == "sized" || name ~ /^(~|operator)/ ||
         arguments ~ /^\(\)/
}

function is_field() { return member_kind == "variable" && kind != "namespace" }

function note(name, is_documented) {
  if (is_documented) { documented[name] = 1; documented_names++ }
  else if (!(name in first_place)) first_place[name] = place
}

function text_of(line) {
  gsub(/<[^>]*>|^ +| +$/, "", line)
  gsub(/&lt;/, "<", line)
  gsub(/&gt;/, ">", line)
  gsub(/&amp;/, "\\&", line)
  return line
}

function attribute(line, name) {
  if (!match(line, " " name "=\"[^\"]*\"")) return ""
  return substr(line, RSTART + length(name) + 3, RLENGTH - length(name) - 4)
}
