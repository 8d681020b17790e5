/* sandbox_i.h - shared by sandbox.c (system calls) and rolefiles.c (files): what a role
 * is for, and which rights follow from that. */
#ifndef SP_SANDBOX_I_H
#define SP_SANDBOX_I_H

enum sp_right {
    HOLD = 1 << 0,    /* what every process does with what it holds already */
    ACCEPT = 1 << 1,  /* take connections from sockets that it was given */
    CONNECT = 1 << 2, /* open sockets and connect */
    READ = 1 << 3,    /* open files to read them */
    WRITE = 1 << 4,   /* make, change, rename and remove files: with READ */
    LIBRARY = 1 << 5, /* load code: name services and Kerberos load theirs late */
    COMMAND = 1 << 6, /* start programs of the configuration: no list can be made */
    NAMES = 1 << 7,   /* sockets of this machine, for its name service */
    RIGHTS = 8,
};

#endif
