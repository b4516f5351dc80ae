# extract.awk PAGE.md: turns the ```cpp and ```cuda blocks of a page into one C++ file, in which each is a test that is
# named by the page and its line.
#
# A block with `int main` is a whole program. Any other is a piece of one: its types, templates, functions and
# constants are put into a namespace, its statements into a function of that namespace. ```cpp continue
# goes on where the block before it ended. Compilers report the lines of the page.

BEGIN {
  add_include("#include <burrow/burrow.hpp>")
  add_include("#include <catch2/catch.hpp>")
  add_include("#include <iostream>")
}

!in_block && /^ *```(cpp|cuda) *(continue *)?$/ {
  in_block = 1
  indent = match($0, /[^ ]/) - 1
  if ($0 !~ /continue/) start_program()
  next
}
in_block && /^ *``` *$/ { in_block = 0; next }
in_block {
  add_line(substr($0, indent + 1))
}

END {
  if (in_block) {
    print FILENAME ": the last block is not closed" > "/dev/stderr"
    exit 1
  }
  if (programs) print_all()
}

function add_include(line) {
  if (!(line in included)) includes = includes line "\n"
  included[line] = 1
}

function start_program() {
  first_line[++programs] = FNR
  scope = "statements"
}

function add_line(line) {
  if (line ~ /^#include/) { add_include(line); return }
  if (line ~ /^int main\(/) {
    whole[programs] = line ~ /main\(\)/ ? "program()" : "program(argc, argv)"
    sub(/main\(/, "program(", line)
  }
  if (line ~ /^[^ \t})\/]/) {  # the first line of a declaration or a statement
    scope = is_declaration(line) ? "declarations" : "statements"
    line = "#line " FNR " \"" FILENAME "\"\n" line
  }
  if (scope == "declarations") declarations[programs] = declarations[programs] line "\n"
  else statements[programs] = statements[programs] line "\n"
}

function is_declaration(line) {
  return line ~ /^(template|struct|class|enum|namespace|concept|using|inline|constexpr|consteval)[ <]/ ||
         line ~ /^\[\[/ ||
         line ~ /^[A-Za-z_][A-Za-z0-9_:<>,&* ]* [A-Za-z_][A-Za-z0-9_]*\(.*\).*[{}]$/
}

function print_all(   i) {
  printf "// Made from %s; edit that.\n%s", FILENAME, includes
  for (i = 1; i <= programs; i++) {
    printf "\nnamespace line_%d {\nusing namespace burrow;\n", first_line[i]
    if (whole[i]) sub(/}[^}]*$/, "  return 0;\n}\n", declarations[i])  # which only main itself leaves out
    printf "%sint run([[maybe_unused]] int argc, [[maybe_unused]] char** argv) {\n", declarations[i]
    printf "%sreturn %s;\n}\n", statements[i], whole[i] ? whole[i] : "0"
    printf "TEST_CASE(\"%s:%d\") {\n", FILENAME, first_line[i]
    printf "  char name[] = \"program\";\n  char* arguments[] = {name, nullptr};\n  REQUIRE(run(1, arguments) == 0);\n}\n}\n"
  }
}
