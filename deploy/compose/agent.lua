-- Orthanc sends each chest film that it stores to the agent. The condition keeps our own reports from coming back.
function OnStoredInstance(instanceId, tags, metadata)
  if tags["Modality"] == "CR" or tags["Modality"] == "DX" then
    SendToModality(instanceId, "agent")
  end
end
