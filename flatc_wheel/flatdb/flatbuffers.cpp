/* FlatBuffers' parser, with our idea of an assertion. It needs no LMDB, so one object serves both engines. */
#include "assertion.h"

#include "src/idl_parser.cpp"
#include "src/util.cpp"
