# `cpack -G DEB` in the build folder: what is installed as a Debian package, libburrow-dev. It holds no compiled
# code, so one package fits every architecture.

set(BURROW_PACKAGE_MAINTAINER "burrow <root@localhost>" CACHE STRING "Who answers for the Debian package")
set(CPACK_PACKAGE_NAME libburrow-dev)
set(CPACK_PACKAGE_CONTACT ${BURROW_PACKAGE_MAINTAINER})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "libeigen3-dev (>= 3.4)")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libdnnl-dev, zlib1g-dev")
set(CPACK_GENERATOR DEB)
include(CPack)
