var indexSectionsWithContent =
{
  0: "bc",
  1: "bc"
};

var indexSectionNames =
{
  0: "all",
  1: "pages"
};

var indexSectionLabels =
{
  0: "All",
  1: "Pages"
};

