/* Definition of compiled modules without state, whose functions all interpreters and threads may
   call at once. */

#ifndef NWB_OPHYS_STATELESS_H
#define NWB_OPHYS_STATELESS_H

#include <Python.h>

static PyModuleDef_Slot stateless_slots[] = {
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

/* Define the module NAME with the methods in the array FUNCTIONS. */
#define DEFINE_MODULE(NAME, DESCRIPTION, FUNCTIONS)                                               \
    static struct PyModuleDef definition = {                                                      \
        PyModuleDef_HEAD_INIT, #NAME, DESCRIPTION, 0, FUNCTIONS, stateless_slots, NULL, NULL,     \
        NULL,                                                                                     \
    };                                                                                            \
    PyMODINIT_FUNC PyInit_##NAME(void) { return PyModuleDef_Init(&definition); }

#endif
