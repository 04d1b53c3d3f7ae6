/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runtime/api/interface.h"

static SD_VARLINK_DEFINE_ENUM_TYPE(State, SD_VARLINK_DEFINE_ENUM_VALUE(Pending),
                                   SD_VARLINK_DEFINE_ENUM_VALUE(Running),
                                   SD_VARLINK_DEFINE_ENUM_VALUE(Stopping),
                                   SD_VARLINK_DEFINE_ENUM_VALUE(Stopped),
                                   SD_VARLINK_DEFINE_ENUM_VALUE(Succeeded),
                                   SD_VARLINK_DEFINE_ENUM_VALUE(Failed));

static SD_VARLINK_DEFINE_ENUM_TYPE(ContainerState, SD_VARLINK_DEFINE_ENUM_VALUE(Waiting),
                                   SD_VARLINK_DEFINE_ENUM_VALUE(Running),
                                   SD_VARLINK_DEFINE_ENUM_VALUE(Terminated));

static SD_VARLINK_DEFINE_STRUCT_TYPE(PreviousState, SD_VARLINK_DEFINE_FIELD_BY_TYPE(state, ContainerState, 0),
                                     SD_VARLINK_DEFINE_FIELD(exitCode, SD_VARLINK_INT, 0),
                                     SD_VARLINK_FIELD_COMMENT("Completed, Error, OOMKilled"),
                                     SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, 0),
                                     SD_VARLINK_DEFINE_FIELD(startTime, SD_VARLINK_STRING, 0),
                                     SD_VARLINK_DEFINE_FIELD(finishTime, SD_VARLINK_STRING, 0));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
        Container, SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0),
        SD_VARLINK_DEFINE_FIELD(image, SD_VARLINK_STRING, 0),
        SD_VARLINK_FIELD_COMMENT("Of the image's manifest, as it was when the group was begun"),
        SD_VARLINK_DEFINE_FIELD(imageDigest, SD_VARLINK_STRING, 0),
        SD_VARLINK_DEFINE_FIELD_BY_TYPE(state, ContainerState, 0),
        SD_VARLINK_DEFINE_FIELD(restartCount, SD_VARLINK_INT, 0),
        SD_VARLINK_FIELD_COMMENT("It runs, and its readiness probe, if it has one, passes"),
        SD_VARLINK_DEFINE_FIELD(ready, SD_VARLINK_BOOL, 0),
        SD_VARLINK_FIELD_COMMENT("Of the last run that ended: 0 to 255, 128 + signal"),
        SD_VARLINK_DEFINE_FIELD(exitCode, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
        SD_VARLINK_FIELD_COMMENT("Completed, Error, OOMKilled, CrashLoopBackOff, PodInitializing"),
        SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
        SD_VARLINK_DEFINE_FIELD(pid, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
        SD_VARLINK_FIELD_COMMENT("RFC 3339"),
        SD_VARLINK_DEFINE_FIELD(startTime, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
        SD_VARLINK_DEFINE_FIELD(finishTime, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
        SD_VARLINK_FIELD_COMMENT("The run before, of a container that came again"),
        SD_VARLINK_DEFINE_FIELD_BY_TYPE(previousState, PreviousState, SD_VARLINK_NULLABLE));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
        Group, SD_VARLINK_DEFINE_FIELD(name, SD_VARLINK_STRING, 0),
        SD_VARLINK_DEFINE_FIELD_BY_TYPE(state, State, 0),
        SD_VARLINK_DEFINE_FIELD(restartPolicy, SD_VARLINK_STRING, 0),
        SD_VARLINK_DEFINE_FIELD(created, SD_VARLINK_STRING, 0),
        SD_VARLINK_FIELD_COMMENT("IPv4; while it has a network"),
        SD_VARLINK_DEFINE_FIELD(address, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
        SD_VARLINK_FIELD_COMMENT("Of the address, as the group file lists them"),
        SD_VARLINK_DEFINE_FIELD(ports, SD_VARLINK_INT, SD_VARLINK_ARRAY),
        SD_VARLINK_FIELD_COMMENT("Why it could not be started"),
        SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
        SD_VARLINK_FIELD_COMMENT("Those that run before the others, in their order"),
        SD_VARLINK_DEFINE_FIELD_BY_TYPE(initContainers, Container, SD_VARLINK_ARRAY | SD_VARLINK_NULLABLE),
        SD_VARLINK_DEFINE_FIELD_BY_TYPE(containers, Container, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_STRUCT_TYPE(LogEntry, SD_VARLINK_DEFINE_FIELD(time, SD_VARLINK_STRING, 0),
                                     SD_VARLINK_DEFINE_FIELD(stream, SD_VARLINK_STRING, 0),
                                     SD_VARLINK_DEFINE_FIELD(text, SD_VARLINK_STRING, 0));

static SD_VARLINK_DEFINE_ENUM_TYPE(EventType, SD_VARLINK_DEFINE_ENUM_VALUE(Normal),
                                   SD_VARLINK_DEFINE_ENUM_VALUE(Warning));

static SD_VARLINK_DEFINE_STRUCT_TYPE(
        Event, SD_VARLINK_FIELD_COMMENT("Grows with time, over all groups"),
        SD_VARLINK_DEFINE_FIELD(number, SD_VARLINK_INT, 0), SD_VARLINK_FIELD_COMMENT("RFC 3339"),
        SD_VARLINK_DEFINE_FIELD(time, SD_VARLINK_STRING, 0),
        SD_VARLINK_DEFINE_FIELD(group, SD_VARLINK_STRING, 0),
        SD_VARLINK_FIELD_COMMENT("Absent: of the whole group"),
        SD_VARLINK_DEFINE_FIELD(container, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
        SD_VARLINK_DEFINE_FIELD_BY_TYPE(type, EventType, 0),
        SD_VARLINK_FIELD_COMMENT(
                "Pulled, Created, Started, Killing, Unhealthy, Ready, BackOff, Failed, Completed, Error, "
                "OOMKilled; of a group Running, Stopping, Recovered, Deleted, its last state"),
        SD_VARLINK_DEFINE_FIELD(reason, SD_VARLINK_STRING, 0), SD_VARLINK_FIELD_COMMENT("For people"),
        SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0));

static SD_VARLINK_DEFINE_METHOD(Run, SD_VARLINK_FIELD_COMMENT("What a group file says, as JSON"),
                                SD_VARLINK_DEFINE_INPUT(definition, SD_VARLINK_OBJECT, 0),
                                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(group, Group, 0));

static SD_VARLINK_DEFINE_METHOD(List, SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(groups, Group, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD(Show, SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
                                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(group, Group, 0));

static SD_VARLINK_DEFINE_METHOD(
        Stop, SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
        SD_VARLINK_FIELD_COMMENT("Seconds between asking and killing; 10 if not given"),
        SD_VARLINK_DEFINE_INPUT(timeout, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
        SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(group, Group, 0));

static SD_VARLINK_DEFINE_METHOD(Delete, SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
                                SD_VARLINK_DEFINE_INPUT(timeout, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                                SD_VARLINK_FIELD_COMMENT("As it was at its end"),
                                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(group, Group, 0));

static SD_VARLINK_DEFINE_METHOD(Wait, SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
                                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(group, Group, 0));

static SD_VARLINK_DEFINE_METHOD_FULL(Logs, SD_VARLINK_REQUIRES_MORE,
                                     SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, 0),
                                     SD_VARLINK_FIELD_COMMENT("The first one if not given"),
                                     SD_VARLINK_DEFINE_INPUT(container, SD_VARLINK_STRING,
                                                             SD_VARLINK_NULLABLE),
                                     SD_VARLINK_FIELD_COMMENT("At first only so many of the last lines"),
                                     SD_VARLINK_DEFINE_INPUT(tail, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                                     SD_VARLINK_FIELD_COMMENT("No line before: microseconds since 1970, UTC"),
                                     SD_VARLINK_DEFINE_INPUT(since, SD_VARLINK_INT, SD_VARLINK_NULLABLE),
                                     SD_VARLINK_FIELD_COMMENT("Only of runs before the last start"),
                                     SD_VARLINK_DEFINE_INPUT(previous, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
                                     SD_VARLINK_FIELD_COMMENT("Go on until the group has ended"),
                                     SD_VARLINK_DEFINE_INPUT(follow, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
                                     SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(entries, LogEntry, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD_FULL(
        Events, SD_VARLINK_REQUIRES_MORE, SD_VARLINK_FIELD_COMMENT("Of all groups if not given"),
        SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
        SD_VARLINK_FIELD_COMMENT("Go on with what happens, until the named group is deleted"),
        SD_VARLINK_DEFINE_INPUT(follow, SD_VARLINK_BOOL, SD_VARLINK_NULLABLE),
        SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(events, Event, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_STRUCT_TYPE(Usage, SD_VARLINK_DEFINE_FIELD(group, SD_VARLINK_STRING, 0),
                                     SD_VARLINK_DEFINE_FIELD(container, SD_VARLINK_STRING, 0),
                                     SD_VARLINK_FIELD_COMMENT("Of processor time, since its last start"),
                                     SD_VARLINK_DEFINE_FIELD(cpuMicroseconds, SD_VARLINK_INT, 0),
                                     SD_VARLINK_DEFINE_FIELD(memoryBytes, SD_VARLINK_INT, 0),
                                     SD_VARLINK_DEFINE_FIELD(memoryLimitBytes, SD_VARLINK_INT,
                                                             SD_VARLINK_NULLABLE),
                                     SD_VARLINK_FIELD_COMMENT("And threads"),
                                     SD_VARLINK_DEFINE_FIELD(processes, SD_VARLINK_INT, 0));

static SD_VARLINK_DEFINE_METHOD(Stats, SD_VARLINK_FIELD_COMMENT("Of all groups if not given"),
                                SD_VARLINK_DEFINE_INPUT(name, SD_VARLINK_STRING, SD_VARLINK_NULLABLE),
                                SD_VARLINK_DEFINE_OUTPUT_BY_TYPE(containers, Usage, SD_VARLINK_ARRAY));

static SD_VARLINK_DEFINE_METHOD(Version, SD_VARLINK_DEFINE_OUTPUT(version, SD_VARLINK_STRING, 0),
                                SD_VARLINK_FIELD_COMMENT("SELinux confines the containers"),
                                SD_VARLINK_DEFINE_OUTPUT(selinux, SD_VARLINK_BOOL, 0),
                                SD_VARLINK_FIELD_COMMENT("There is an image store"),
                                SD_VARLINK_DEFINE_OUTPUT(store, SD_VARLINK_BOOL, 0));

static SD_VARLINK_DEFINE_ERROR(NoSuchGroup, SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(GroupExists, SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(InvalidDefinition, SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(NoSuchImage, SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(NotTrusted, SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0));
static SD_VARLINK_DEFINE_ERROR(Failed, SD_VARLINK_DEFINE_FIELD(message, SD_VARLINK_STRING, 0));

SD_VARLINK_DEFINE_INTERFACE(
        io_holdfast_Groups, GROUPS_INTERFACE,
        SD_VARLINK_INTERFACE_COMMENT(
                "Container groups: their life from the group file to their last log line"),
        &vl_type_State, &vl_type_ContainerState, &vl_type_PreviousState, &vl_type_Container, &vl_type_Group,
        &vl_type_LogEntry, &vl_type_EventType, &vl_type_Event, &vl_type_Usage,
        SD_VARLINK_SYMBOL_COMMENT(
                "Begins a group. Answers when every container was started, or nothing is left of it"),
        &vl_method_Run, SD_VARLINK_SYMBOL_COMMENT("All groups"), &vl_method_List,
        SD_VARLINK_SYMBOL_COMMENT("One group"), &vl_method_Show,
        SD_VARLINK_SYMBOL_COMMENT("Ends a group's containers and keeps its record and logs"), &vl_method_Stop,
        SD_VARLINK_SYMBOL_COMMENT("Ends a group and removes all of it"), &vl_method_Delete,
        SD_VARLINK_SYMBOL_COMMENT("Answers when the group has ended"), &vl_method_Wait,
        SD_VARLINK_SYMBOL_COMMENT("What a container wrote, in portions; the last reply has no entries"),
        &vl_method_Logs,
        SD_VARLINK_SYMBOL_COMMENT(
                "What happened to groups, oldest first, in portions; the last reply has no events. The "
                "last 128 of each group are kept as long as the group"),
        &vl_method_Events, SD_VARLINK_SYMBOL_COMMENT("What the containers use that run"), &vl_method_Stats,
        SD_VARLINK_SYMBOL_COMMENT("The daemon and what it found"), &vl_method_Version,
        SD_VARLINK_SYMBOL_COMMENT("Every error has a message for people"), &vl_error_NoSuchGroup,
        &vl_error_GroupExists, &vl_error_InvalidDefinition, &vl_error_NoSuchImage, &vl_error_NotTrusted,
        &vl_error_Failed);
