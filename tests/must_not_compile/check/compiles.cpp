// expect: error
// Nothing is wrong with this program: check.sh must say so.
int main() {}
