var searchData=
[
  ['burrow_0',['burrow',['../md_README.html',1,'']]]
];
