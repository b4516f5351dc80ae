# A filter for Doxygen: the comment that opens a header, up to its #pragma once, says what the file is for. Lines
# keep their numbers.
FNR == 1 && /^\/\/ / { opening = 1; text = substr($0, 4); print "/** \\file"; next }
opening { print text (/^#pragma/ ? " */" : ""); text = substr($0, 4); opening = !/^#pragma/; next }
{ print }
