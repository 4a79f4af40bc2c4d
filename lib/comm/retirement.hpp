/// What becomes of a communicator that nobody holds any more: it is freed once no message can arrive over it.
///
/// MPI gives the numbers of freed communicators to new ones, which would take late messages for their own; and MPICH
/// has only 2048 of them. So each rank that lets go of a communicator does this, and waits for nobody:
///  1. It takes part in a vote: has any rank seen a failure? If none has, all that was sent has been received, and
///     the communicator is freed as soon as the vote is over, for by then all ranks have let go.
///  2. After a failure messages may be under way. Each rank says farewell to every other: its last message. Messages
///     between two ranks keep their order, so with the farewell all that the other has ever sent is there, and is
///     thrown away. With all farewells there, and its own sends complete, a rank frees the communicator.
/// The vote is a collective operation. A rank that has given up another one, which MPI has no way to end, cannot take
/// part, and says so in its farewell; then the communicator stays to the end of the program. So it does if a rank has
/// died, or never lets go.
///
/// No thread does this: it goes on whenever a communicator is made or let go, and before MPI_Finalize.
#pragma once

#include "unfinished.hpp"

namespace lockstep {

class CommunicatorState;

/// Takes what the last handle has let go of.
void retire(CommunicatorState* state);

/// Keeps what MPI may still use and no communicator of ours owns, until it is complete.
void keep_until_complete(Unfinished unfinished);

/// Frees what can be freed by now. On a thread that may call MPI.
void visit_retired();

/// The last visit, as MPI_Finalize begins: waits for a moment, so that a program that ends well leaves nothing behind.
void finish_retired();

}  // namespace lockstep
