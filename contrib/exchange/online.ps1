<#
.SYNOPSIS
  Sends the mail of an Exchange Online tenant through sendgate and back.
.DESCRIPTION
  Makes an outbound connector to sendgate, a transport rule that uses it, and an inbound connector that knows sendgate
  by its certificate. Connect-ExchangeOnline first. Without -Apply it only says what it would do. -Remove takes all
  three away again, the rule first.
.EXAMPLE
  .\online.ps1 -Gateway mail-gw.corp.example -GatewayAddress 198.51.100.5 -Group sendgate-pilots@corp.example
  .\online.ps1 -Gateway mail-gw.corp.example -GatewayAddress 198.51.100.5 -Apply
  .\online.ps1 -Remove -Apply
#>
[CmdletBinding(DefaultParameterSetName = 'Make')]
param(
  # The name in the certificate of sendgate. Its domain has to be an accepted domain of the tenant.
  [Parameter(Mandatory, ParameterSetName = 'Make')] [string]   $Gateway,
  # The public addresses that sendgate connects from: what comes from there is not sent to it again.
  [Parameter(Mandatory, ParameterSetName = 'Make')] [string[]] $GatewayAddress,
  # Only mail of the members of this group, to begin with. Without it: everybody's.
  [Parameter(ParameterSetName = 'Make')] [string] $Group,
  [Parameter(Mandatory, ParameterSetName = 'Remove')] [switch] $Remove,
  [string] $Name = 'sendgate',
  [switch] $Apply
)
$ErrorActionPreference = 'Stop'

$rule     = Get-TransportRule     | Where-Object { $_.Name -eq $Name }
$outbound = Get-OutboundConnector | Where-Object { $_.Name -eq $Name }
$inbound  = Get-InboundConnector  | Where-Object { $_.Name -eq $Name }

if ($Remove) {
  # The rule first: without its connector mail would wait. The inbound connector last: sendgate may still hold mail.
  Write-Output "Remove the transport rule, the outbound and the inbound connector '$Name'. First let sendgate send what it holds: sendgate drain"
  if ($Apply) {
    if ($rule)     { Remove-TransportRule     -Identity $rule.Identity     -Confirm:$false }
    if ($outbound) { Remove-OutboundConnector -Identity $outbound.Identity -Confirm:$false }
    if ($inbound)  { Remove-InboundConnector  -Identity $inbound.Identity  -Confirm:$false }
  }
  return
}

$accepted = (Get-AcceptedDomain).DomainName
if (-not ($accepted | Where-Object { $Gateway -eq $_ -or $Gateway.EndsWith(".$_") })) {
  throw "$Gateway is in no accepted domain of this tenant ($($accepted -join ', ')): Exchange Online would not know sendgate by its certificate"
}

$out = @{
  ConnectorType          = 'OnPremises'
  UseMXRecord            = $false
  SmartHosts             = @($Gateway)
  TlsSettings            = 'DomainValidation'
  TlsDomain              = $Gateway
  IsTransportRuleScoped  = $true          # used by the rule below only
  Comment                = 'Holds outgoing mail for a moment'
}
$in = @{
  ConnectorType                = 'OnPremises'
  SenderDomains                = @('*')
  RequireTls                   = $true
  TlsSenderCertificateName     = $Gateway
  Comment                      = 'Mail that sendgate has let go'
}
$when = @{
  SentToScope                = 'NotInOrganization'
  ExceptIfSenderIpRanges     = $GatewayAddress   # what comes back from sendgate goes out
  RouteMessageOutboundConnector = $Name
}
# A rule that is there keeps the condition of the other kind, unless it is taken out: the pilots' group, after the pilot.
if ($Group) { $when.FromMemberOf = $Group; $not = @{ FromScope = $null } } else { $when.FromScope = 'InOrganization'; $not = @{ FromMemberOf = $null } }

foreach ($part in @{ 'inbound connector' = $in }, @{ 'outbound connector' = $out }, @{ 'transport rule' = $when }) {
  foreach ($title in $part.Keys) {
    Write-Output $title
    $part[$title].GetEnumerator() | Sort-Object Name | ForEach-Object { Write-Output ("  {0,-30} {1}" -f $_.Key, ($_.Value -join ', ')) }
  }
}
if (-not $Apply) { Write-Output 'Nothing has been changed: -Apply does it.'; return }

# The way back first: mail that had left would not find home.
if ($inbound)  { Set-InboundConnector  -Identity $inbound.Identity @in }   else { New-InboundConnector  -Name $Name @in  | Out-Null }
if ($outbound) { Set-OutboundConnector -Identity $outbound.Identity @out } else { New-OutboundConnector -Name $Name @out | Out-Null }
if ($rule)     { Set-TransportRule     -Identity $rule.Identity @when @not }  else { New-TransportRule     -Name $Name @when | Out-Null }

$tenant = (Get-OrganizationConfig).ExternalDirectoryOrganizationId
if (-not $tenant) { $tenant = 'the tenant id of the Entra admin centre' }
Write-Output "In sendgate.yaml, relay.shared: field X-MS-Exchange-CrossTenant-Id, values [$tenant]. Then try: sendgate check --probe"
